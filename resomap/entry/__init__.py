"""Entry points of jobs. Importing this package makes Ctrl-C a line, before torch is imported."""

from resomap.system import interrupts as interrupts
