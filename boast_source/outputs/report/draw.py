"""Draw charts in a process of its own: a bad specification can abort the library, and with it the process.

Reads JSON (name to Vega-Lite specification) from stdin and writes JSON (name to SVG) to stdout. Its argument: the
seconds after which it ends itself, since a run that was killed leaves nobody who would end it.
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
