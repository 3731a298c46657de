"""A script to copy and edit: enroll and remove contacts listed in `pending_enrollments`.

Run `boast push` by hand first: it tells you how to confirm a first push. Then run `python pipelines/push.py`.
"""

import sys

from boast_source import BoastError, push_job

if __name__ == "__main__":
    try:
        pushed = push_job("duckdb", "boast_data", limit=100)
        print(pushed.as_json())
        sys.exit(pushed.exit_code)
    except BoastError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
