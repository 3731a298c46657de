"""Draw charts in a process of its own: a bad specification can abort the library, and with it the process.

Reads JSON (name to Vega-Lite specification) from stdin and writes JSON (name to SVG) to stdout.
"""

import json
import sys

if __name__ == "__main__":
    import vl_convert

    drawn = {name: vl_convert.vegalite_to_svg(spec) for name, spec in json.load(sys.stdin).items()}
    json.dump(drawn, sys.stdout)
