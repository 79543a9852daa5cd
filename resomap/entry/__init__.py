"""Entry points of jobs. Importing this package makes Ctrl-C a line, before torch is imported.

Then a job that the server of the sweep takes is handed over and never returns from this import.
"""

from resomap.system import interrupts as interrupts
from resomap.system import job_client as job_client
from resomap.system import quick_exit as quick_exit
