"""The tables of a Log Analytics workspace that queries read, with columns and types in Kusto's own notation.

The columns are those of https://learn.microsoft.com/azure/azure-monitor/reference/tables/NAME, with the name of the
table in small letters, unless a line says otherwise. Columns that no query needs may be left out.
"""

from collections.abc import Mapping

_OF_EACH_ITEM = (
    "TimeGenerated: datetime, AppRoleInstance: string, AppRoleName: string, AppVersion: string, ItemCount: int, "
    "OperationId: string, OperationName: string, ParentId: string, Properties: dynamic, Measurements: dynamic, "
    "SDKVersion: string, SessionId: string, UserId: string, SyntheticSource: string, ClientIP: string, "
    "_BilledSize: real, _IsBillable: string, _ResourceId: string, Type: string"
)
_OF_STORAGE = (
    "TimeGenerated: datetime, AccountName: string, AuthenticationType: string, CallerIpAddress: string, "
    "Category: string, CorrelationId: string, DurationMs: real, Location: string, ObjectKey: string, "
    "OperationName: string, Protocol: string, RequesterAppId: string, RequesterObjectId: string, "
    "RequesterUpn: string, StatusCode: string, StatusText: string, Uri: string, UserAgentHeader: string, Type: string"
)

TABLES: Mapping[str, str] = {
    "AppTraces": f"({_OF_EACH_ITEM}, Message: string, SeverityLevel: int)",
    "AppRequests": (
        f"({_OF_EACH_ITEM}, DurationMs: real, Id: string, Name: string, PerformanceBucket: string, "
        "ResultCode: string, Source: string, Success: bool, Url: string)"
    ),
    "AppDependencies": (
        f"({_OF_EACH_ITEM}, Data: string, DependencyType: string, DurationMs: real, Id: string, Name: string, "
        "ResultCode: string, Success: bool, Target: string)"
    ),
    "AppExceptions": (
        f"({_OF_EACH_ITEM}, ExceptionType: string, InnermostMessage: string, InnermostType: string, Message: string, "
        "OuterMessage: string, OuterType: string, ProblemId: string, SeverityLevel: int)"
    ),
    "AppAvailabilityResults": (
        f"({_OF_EACH_ITEM}, DurationMs: real, Id: string, Location: string, Message: string, Name: string, "
        "Success: bool)"
    ),
    "StorageQueueLogs": f"({_OF_STORAGE})",
    "StorageTableLogs": f"({_OF_STORAGE})",
    "Usage": (
        "(TimeGenerated: datetime, StartTime: datetime, EndTime: datetime, DataType: string, IsBillable: bool, "
        "Quantity: real, QuantityUnit: string, Solution: string, Type: string)"
    ),
    # A function of each workspace: https://learn.microsoft.com/azure/azure-monitor/logs/monitor-workspace
    "_LogOperation": (
        "(TimeGenerated: datetime, Category: string, Operation: string, Level: string, Detail: string, "
        "_ResourceId: string, Computer: string, CorrelationId: string)"
    ),
}
