"""Handler of an image, which contains one function (Dockerfile).

Imports create little garbage, and collecting it would take up to a tenth of a cold start. Later
collections skip what the imports created.
"""

import gc
import importlib
from pathlib import Path

gc.disable()
(function,) = (each.parent.name for each in Path(__file__).parent.glob("*/handler.py"))
handler = importlib.import_module(f"functions.{function}.handler").handler
gc.freeze()
gc.enable()
