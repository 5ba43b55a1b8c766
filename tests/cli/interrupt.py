"""Sends a command a signal as soon as the results database holds a row, and ends with the command's
exit code (128 + N where signal N ended it; 99: the command was over before the signal).

    interrupt.py SIGNAL ROW COMMAND…

ROW is what follows FROM in a query: interrupt.py INT "item WHERE task = 'run'" hone tune MODEL"""
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time

DATABASE = f"file:{os.environ['HONE_HOME']}/results.db?mode=ro"


def holds(row):
    try:
        with contextlib.closing(sqlite3.connect(DATABASE, uri=True)) as database:
            found = database.execute(f"SELECT 1 FROM {row}").fetchone()
    except sqlite3.OperationalError:  # no database yet, or no tables in it
        return False
    return found is not None


def main(name, row, *command):
    process = subprocess.Popen(command)
    while not holds(row):
        if process.poll() is not None:
            return 99
        time.sleep(0.02)
    if process.poll() is not None:
        return 99
    process.send_signal(signal.Signals[f"SIG{name}"])
    code = process.wait()
    return code if code >= 0 else 128 - code


sys.exit(main(*sys.argv[1:]))
