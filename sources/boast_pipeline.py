"""Load Boast's lists, make the views, verify: a pipeline of your own over the connector's source."""

import dlt

from boast import boast_source, create_views, verify


def load() -> None:
    pipeline = dlt.pipeline("boast_pipeline", destination="duckdb", dataset_name="boast_data")
    print(pipeline.run(boast_source()))
    create_views(pipeline)
    print("verified:", verify(pipeline).verified)


if __name__ == "__main__":
    load()
