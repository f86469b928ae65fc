"""The app as the Functions host indexes it: one blueprint per function package."""

import azure.functions as func

from audit_session import audit_session_bp
from collect_result import collect_result_bp
from create_session import create_session_bp
from get_result import get_result_bp
from health import health_bp
from purge_expired import purge_expired_bp
from revoke_session import revoke_session_bp
from shared.settings import Settings
from unknown_route import unknown_route_bp

# Bad settings stop the start, and say so, rather than fail each request.
Settings.from_environment()

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
app.register_functions(create_session_bp)
app.register_functions(get_result_bp)
app.register_functions(revoke_session_bp)
app.register_functions(audit_session_bp)
app.register_functions(health_bp)
app.register_functions(collect_result_bp)
app.register_functions(purge_expired_bp)
app.register_functions(unknown_route_bp)
