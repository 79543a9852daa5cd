"""Entry points of jobs without torch. Importing this package makes Ctrl-C a line."""

from resomap.system import interrupts as interrupts
from resomap.system import quick_exit as quick_exit
