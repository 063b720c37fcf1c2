"""Make this folder importable without making anything of the project importable, then run the keeper."""

import importlib
import os
import sys

if __name__ == "__main__":
    # At the end: nothing beside this folder may stand in for a module of the standard library.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    importlib.import_module("shim.keeper").main(sys.argv[1], sys.argv[2])
