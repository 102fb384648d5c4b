"""ministack as the laptop cloud runs it: behind a guard."""

import os

from ministack.app import app as ministack

from local.guard import guarded

app = guarded(ministack, os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
