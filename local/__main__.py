"""The entry point: `python -m local run`, `serve` or `simulator`."""

import argparse
import asyncio
import sys

from local.run import RunOptions, run, serve, simulate


def main() -> int:
    """Run the command of the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run_parser = commands.add_parser("run", help="start broker and simulator, and demonstrate a check")
    run_parser.add_argument("--port", type=int, default=7071, help="of the broker (default: %(default)s)")
    run_parser.add_argument(
        "--simulator-port", type=int, default=7072, help="of the Face simulator (default: %(default)s)"
    )
    run_parser.add_argument(
        "--storage",
        choices=["memory", "azurite"],
        default="memory",
        help="where state is kept (default: %(default)s)",
    )
    run_parser.add_argument("--once", action="store_true", help="end after the demonstration check")
    serve_parser = commands.add_parser(
        "serve", help="start the broker alone, with the settings of the environment"
    )
    serve_parser.add_argument("--port", type=int, default=7071, help="(default: %(default)s; 0: a free one)")
    serve_parser.add_argument(
        "--lease",
        type=float,
        help="seconds for which a queue message is hidden while it is processed (default: 600)",
    )
    simulator_parser = commands.add_parser(
        "simulator", help="start the Face simulator alone; its key is FACE_KEY"
    )
    simulator_parser.add_argument(
        "--port", type=int, default=7072, help="(default: %(default)s; 0: a free one)"
    )
    arguments = parser.parse_args()
    if arguments.command == "serve":
        return asyncio.run(serve(arguments.port, lease_seconds=arguments.lease))
    if arguments.command == "simulator":
        return asyncio.run(simulate(arguments.port))
    options = RunOptions(arguments.port, arguments.simulator_port, arguments.storage, arguments.once)
    return asyncio.run(run(options))


if __name__ == "__main__":
    sys.exit(main())
