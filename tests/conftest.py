"""Before any test imports torch: its tensors here are small, and threads that wait for each other by
spinning cost minutes on a busy machine."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
