"""The entry point: `python -m local run`, `serve` or `simulator`."""

import argparse
import asyncio
import io
import math
import sys

from local.run import RunOptions, exit_status, run, serve, simulate


def main() -> int:
    """Run the command of the command line; returns the exit status."""
    arguments = _parser().parse_args()
    # Each line shows at once in a pipe too: `make run | tee run.log`.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    if arguments.command == "serve":
        command = serve(arguments.port)
    elif arguments.command == "simulator":
        command = simulate(arguments.port, arguments.face_tps)
    else:
        options = RunOptions(
            arguments.port,
            arguments.simulator_port,
            arguments.storage,
            arguments.once,
            arguments.auth,
            arguments.face_tps,
            arguments.events_webhook,
        )
        command = run(options)
    return asyncio.run(exit_status(command))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, port: int, summary: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=summary, formatter_class=parser.formatter_class)
        command.add_argument("--port", type=int, default=port, help="0: a free one")
        return command

    add_run = add("run", 7071, "start broker and simulator, and demonstrate a check")
    add_run.add_argument("--simulator-port", type=int, default=7072, help="of the Face simulator")
    add_run.add_argument(
        "--storage", choices=["memory", "azurite"], default="memory", help="where state is kept"
    )
    add_run.add_argument(
        "--auth",
        choices=["none", "jwt"],
        default="none",
        help="jwt: callers sign in, with tokens of a local issuer at the port after the simulator's",
    )
    add_run.add_argument(
        "--events-webhook",
        metavar="URL",
        help="also sends events to this URL of this machine, as Event Grid does",
    )
    add_run.add_argument("--once", action="store_true", help="end after the demonstration check")
    add("serve", 7071, "start the broker alone, with the settings of the environment")
    add_simulator = add("simulator", 7072, "start the Face simulator alone; its key is FACE_KEY")
    for command in (add_run, add_simulator):
        command.add_argument(
            "--face-tps", type=_rate, help="calls a second that the simulator takes (None: any number)"
        )
    return parser


def _rate(text: str) -> float:
    """Read a number of calls in a second; raises `ArgumentTypeError`."""
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError("expected a number above 0")
    return rate


if __name__ == "__main__":
    sys.exit(main())
