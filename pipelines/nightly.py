"""A script to copy and edit: the nightly run (load, push, report). Run `python pipelines/nightly.py`."""

import sys

from boast_source import BoastError, nightly_job

if __name__ == "__main__":
    try:
        night = nightly_job()
        print(night.as_json())
        sys.exit(night.exit_code)
    except BoastError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
