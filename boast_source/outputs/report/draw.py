"""Draw charts in a separate process: a bad specification can make the library abort its process.

Reads JSON (Vega-Lite specifications by name) from stdin and writes JSON (SVG by name) to stdout. Its argument is a
timeout in seconds, after which it ends itself even if the run that started it was killed.
"""

import json
import signal
import sys

if __name__ == "__main__":
    if hasattr(signal, "alarm"):
        signal.alarm(int(sys.argv[1]))

    import vl_convert

    drawn = {name: vl_convert.vegalite_to_svg(spec) for name, spec in json.load(sys.stdin).items()}
    json.dump(drawn, sys.stdout)
