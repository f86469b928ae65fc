"""The app's functions as `azure.functions` knows them, on every Python and without the engine."""

import importlib
from collections.abc import Mapping

import azure.functions as func
from azure.functions.decorators.function_app import Function

Decorated = Mapping[str, Function]


def read_decorated() -> Decorated:
    """The functions by their names, in the order of registration; the settings in the environment have to be good."""
    app: func.FunctionApp = importlib.import_module("function_app").app
    try:
        # The app remembers the names it saw and takes a second reading for duplicates.
        app.functions_bindings = None
        return {str(function.get_function_name()): function for function in app.get_functions()}
    finally:
        app.functions_bindings = None
