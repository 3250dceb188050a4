"""Runs a Terraform that was built as a shared library as if it were the program: `library.py LIBRARY [ARGUMENT]...`

Terraform writes into the descriptors that it is handed, so this process's own stdout and stderr are what the program's would be.
"""

import ctypes
import os
import sys

library, *arguments = sys.argv[1:]
run = ctypes.cdll.LoadLibrary(library).RunCli
run.argtypes = [ctypes.c_int64, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int64, ctypes.c_int64]
argv = (ctypes.c_char_p * len(arguments))(*map(os.fsencode, arguments))
# The library closes what it was handed.
code = run(len(arguments), argv, os.dup(1), os.dup(2))
os._exit(code)
