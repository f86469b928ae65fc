"""The entry point of `python -m ops`."""

from ops.command_line import main

raise SystemExit(main())
