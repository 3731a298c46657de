"""Enroll and remove contacts listed in `pending_enrollments`, to copy and edit: `python pipelines/push.py`.

Run `boast push` once by hand before: it says how a first push is confirmed.
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
