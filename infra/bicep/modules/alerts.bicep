metadata description = 'What wakes somebody up: one query over the logs for each, which answers rows when something is wrong.'

import { budgetType } from '../types.bicep'

@description('Required. The region.')
param location string

@description('Required. Tags.')
param tags resourceInput<'Microsoft.Insights/scheduledQueryRules@2026-03-01'>.tags

@description('Required. The workspace.')
param workspaceName string

@description('Required. The workspace that logs who accessed secrets, records and messages.')
param auditWorkspaceName string

@description('Required. The Application Insights component.')
param applicationInsightsName string

@description('Required. Gigabytes a day after which the workspace takes no more logs.')
param dailyQuotaGb int

@description('Required. The topic.')
param topicName string

@description('Required. The object id of the identity that the app runs as.')
param appPrincipalId string

@description('Required. Where phones reach this region.')
param publicUrl string

@description('Required. The name of the group of people who hear of alerts.')
param actionGroupName string

@description('Required. Their addresses.')
param emails string[]

@description('Optional. What the resource group may cost in a month.')
param budget budgetType?

// Severity 1 needs an operator now, severity 2 today. A window is twice as long as the time between two runs, so that a line
// that arrives late is seen; `lookBack` is for queries that need more. Alerts that do not end with their cause are closed by
// an operator: what they found is not undone by time.
var queries = [
  {
    name: 'poison-queue'
    title: 'Messages are in the poison queue'
    severity: 1
    minutes: 15
    lookBack: 'P1D'
    endsWithItsCause: false
    query: loadTextContent('../alerts/poison-queue.kql')
  }
  {
    name: 'logs-capped'
    title: 'The daily cap of the logs is reached: other alerts are blind'
    severity: 1
    minutes: 15
    lookBack: null
    endsWithItsCause: false
    query: loadTextContent('../alerts/logs-capped.kql')
  }
  {
    name: 'logs-near-cap'
    title: 'The logs grow so fast that they reach their daily cap'
    severity: 2
    minutes: 15
    lookBack: 'PT6H'
    endsWithItsCause: true
    query: replace(loadTextContent('../alerts/logs-near-cap.kql'), 'DAILY_QUOTA_GB', string(dailyQuotaGb))
  }
  {
    name: 'app-silent'
    title: 'The app writes nothing: its hourly job did not run'
    severity: 1
    minutes: 15
    lookBack: 'PT3H'
    endsWithItsCause: true
    query: loadTextContent('../alerts/app-silent.kql')
  }
  {
    name: 'requests-burn-budget'
    title: 'Too many answers are server errors'
    severity: 1
    minutes: 5
    lookBack: 'PT6H'
    endsWithItsCause: true
    query: loadTextContent('../alerts/requests-burn-budget.kql')
  }
  {
    name: 'internal-error'
    title: 'A fault in the code of the broker'
    severity: 2
    minutes: 15
    lookBack: null
    endsWithItsCause: true
    query: loadTextContent('../alerts/internal-error.kql')
  }
  {
    name: 'upstream-quota'
    title: 'The call volume of Face is used up'
    severity: 1
    minutes: 15
    lookBack: null
    endsWithItsCause: true
    query: loadTextContent('../alerts/upstream-quota.kql')
  }
  {
    name: 'face-throttled'
    title: 'Face refuses calls, because its rate is used up'
    severity: 2
    minutes: 15
    lookBack: null
    endsWithItsCause: true
    query: loadTextContent('../alerts/face-throttled.kql')
  }
  {
    name: 'session-cut-off'
    title: 'A check was ended, because its phone may use up the rate of Face'
    severity: 2
    minutes: 15
    lookBack: null
    endsWithItsCause: true
    query: loadTextContent('../alerts/session-cut-off.kql')
  }
  {
    name: 'key-unavailable'
    title: 'Callers get errors, because a secret or Face cannot be used'
    severity: 1
    minutes: 15
    lookBack: null
    endsWithItsCause: true
    query: loadTextContent('../alerts/key-unavailable.kql')
  }
  {
    name: 'secret-read-failed'
    title: 'A secret cannot be read, and the value in memory serves'
    severity: 2
    minutes: 15
    lookBack: null
    endsWithItsCause: true
    query: loadTextContent('../alerts/secret-read-failed.kql')
  }
  {
    name: 'throttling'
    title: 'More creates than usual are refused'
    severity: 2
    minutes: 30
    lookBack: 'P2D'
    endsWithItsCause: true
    query: loadTextContent('../alerts/throttling.kql')
  }
  {
    name: 'events-unavailable'
    title: 'The topic takes no events'
    severity: 2
    minutes: 15
    lookBack: 'PT1H'
    endsWithItsCause: true
    query: loadTextContent('../alerts/events-unavailable.kql')
  }
  {
    name: 'events-burn-budget'
    title: 'Too many events are late'
    severity: 1
    minutes: 15
    lookBack: 'P1D'
    endsWithItsCause: true
    query: loadTextContent('../alerts/events-burn-budget.kql')
  }
  {
    name: 'events-stopped'
    title: 'Sessions end, and no event is published'
    severity: 1
    minutes: 15
    lookBack: 'PT3H'
    endsWithItsCause: true
    query: loadTextContent('../alerts/events-stopped.kql')
  }
  {
    name: 'no-events'
    title: 'Sessions ended without an event'
    severity: 1
    minutes: 15
    lookBack: 'P2D'
    endsWithItsCause: true
    query: loadTextContent('../alerts/no-events.kql')
  }
  {
    name: 'event-lost'
    title: 'The record of a session was deleted before its event was published'
    severity: 1
    minutes: 15
    lookBack: 'P1D'
    endsWithItsCause: false
    query: loadTextContent('../alerts/event-lost.kql')
  }
  {
    name: 'record-mac-mismatch'
    title: 'The record of a session was changed by somebody else'
    severity: 1
    minutes: 15
    lookBack: 'P1D'
    endsWithItsCause: false
    query: loadTextContent('../alerts/record-mac-mismatch.kql')
  }
  {
    name: 'table-written-by-others'
    title: 'Somebody else than the app wrote to its tables'
    severity: 2
    minutes: 15
    lookBack: 'P1D'
    endsWithItsCause: false
    query: replace(
      loadTextContent('../alerts/table-written-by-others.kql'),
      'APP_PRINCIPAL_ID',
      appPrincipalId
    )
  }
  {
    name: 'spoof-rate'
    title: 'More attempts than usual do not pass'
    severity: 2
    minutes: 15
    lookBack: 'P2D'
    endsWithItsCause: true
    query: loadTextContent('../alerts/spoof-rate.kql')
  }
  {
    name: 'digest-mismatch'
    title: 'Phones send other digests than Face has'
    severity: 2
    minutes: 15
    lookBack: 'PT1H'
    endsWithItsCause: true
    query: loadTextContent('../alerts/digest-mismatch.kql')
  }
  {
    name: 'misses'
    title: 'Somebody tries session ids or tokens'
    severity: 2
    minutes: 15
    lookBack: null
    endsWithItsCause: true
    query: loadTextContent('../alerts/misses.kql')
  }
  {
    name: 'client-address-unvouched'
    title: 'Requests come past the address header'
    severity: 2
    minutes: 15
    lookBack: null
    endsWithItsCause: true
    query: loadTextContent('../alerts/client-address-unvouched.kql')
  }
]

// These read the logs of storage, which a flood of requests does not cap.
var overAudit = ['poison-queue', 'table-written-by-others']

var metrics = [
  {
    name: 'dead-letters'
    title: 'Events could not be delivered to a subscriber, and were kept'
    severity: 1
    metric: 'DeadLetteredCount'
    threshold: 0
  }
  {
    name: 'dropped-events'
    title: 'Events could not be delivered to a subscriber, and are lost: it has no place for dead letters'
    severity: 1
    metric: 'DroppedEventCount'
    threshold: 0
  }
  {
    name: 'delivery-failures'
    title: 'A subscriber refuses events; Event Grid tries again'
    severity: 2
    metric: 'DeliveryAttemptFailCount'
    threshold: 10
  }
]

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' existing = {
  name: workspaceName
}

resource auditWorkspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' existing = {
  name: auditWorkspaceName
}

resource topic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: topicName
}

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: actionGroupName
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'liveness'
    enabled: true
    emailReceivers: [
      for (email, i) in emails: {
        name: 'email-${i}'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource rule 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for query in queries: {
    name: query.name
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: query.title
      description: 'docs/operations.md says what to do.'
      severity: query.severity
      enabled: true
      scopes: [contains(overAudit, query.name) ? auditWorkspace.id : workspace.id]
      evaluationFrequency: 'PT${query.minutes}M'
      windowSize: 'PT${2 * query.minutes}M'
      overrideQueryTimeRange: query.lookBack
      criteria: {
        allOf: [
          {
            query: query.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
          }
        ]
      }
      autoMitigate: query.endsWithItsCause
      // A table of logs exists only after its first line has arrived.
      skipQueryValidation: true
      actions: { actionGroups: [actionGroup.id] }
    }
  }
]

resource metricRule 'Microsoft.Insights/metricAlerts@2026-01-01' = [
  for metric in metrics: {
    name: metric.name
    location: 'global'
    tags: tags
    properties: {
      description: '${metric.title}. docs/operations.md says what to do.'
      severity: metric.severity
      enabled: true
      scopes: [topic.id]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT15M'
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: metric.name
            metricName: metric.metric
            timeAggregation: 'Total'
            operator: 'GreaterThan'
            threshold: metric.threshold
          }
        ]
      }
      actions: [{ actionGroupId: actionGroup.id }]
    }
  }
]

// From five places, each every five minutes. Nothing of a person is asked for or sent. The places are of the public cloud.
var isTested = !empty(emails) && environment().name == 'AzureCloud'

resource healthTest 'Microsoft.Insights/webtests@2022-06-15' = if (isTested) {
  name: 'health'
  location: location
  tags: union(tags, { 'hidden-link:${component.id}': 'Resource' })
  kind: 'standard'
  properties: {
    SyntheticMonitorId: 'health'
    Name: 'The app answers'
    Enabled: true
    Kind: 'standard'
    Frequency: 300
    Timeout: 30
    RetryEnabled: true
    Locations: [
      // https://learn.microsoft.com/azure/azure-monitor/app/availability#location-population-tags
      for place in [
        'emea-nl-ams-azr'
        'emea-gb-db3-azr'
        'emea-ru-msa-edge'
        'us-va-ash-azr'
        'apac-sg-sin-azr'
      ]: {
        Id: place
      }
    ]
    Request: {
      RequestUrl: '${publicUrl}/api/health'
      HttpVerb: 'GET'
      ParseDependentRequests: false
    }
    ValidationRules: {
      ExpectedHttpStatusCode: 200
      SSLCheck: true
      SSLCertRemainingLifetimeCheck: 7
      ContentValidation: { ContentMatch: '"healthy"', IgnoreCase: false, PassIfTextFound: true }
    }
  }
}

resource healthRule 'Microsoft.Insights/metricAlerts@2026-01-01' = if (isTested) {
  name: 'health'
  location: 'global'
  tags: tags
  properties: {
    description: 'The app does not answer three of five places. docs/operations.md says what to do.'
    severity: 1
    enabled: true
    scopes: [healthTest.id, component.id]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT5M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria'
      webTestId: healthTest.id
      componentId: component.id
      failedLocationCount: 3
    }
    actions: [{ actionGroupId: actionGroup.id }]
  }
}

resource budgetRule 'Microsoft.Consumption/budgets@2026-06-01' = if (budget != null) {
  name: 'liveness'
  properties: {
    category: 'Cost'
    amount: budget!.amount
    timeGrain: 'Monthly'
    timePeriod: { startDate: '${budget!.from}T00:00:00Z' }
    notifications: {
      forecast: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: emails
        contactGroups: [actionGroup.id]
      }
      actual: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 80
        thresholdType: 'Actual'
        contactEmails: emails
        contactGroups: [actionGroup.id]
      }
    }
  }
}
