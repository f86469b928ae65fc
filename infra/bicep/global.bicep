metadata description = 'What the regions share, where anything: the routes of Front Door to them, and its firewall.'

@description('Required. The Front Door profile.')
param profileName string

@description('Required. Tags.')
param tags resourceInput<'Microsoft.Network/FrontDoorWebApplicationFirewallPolicies@2025-11-01'>.tags

@description('Required. The tier of the profile.')
param tier ('Standard' | 'Premium')

@description('Required. The name of the firewall policy: letters and digits.')
param firewallName string

@description('Required. Requests a minute that one address may make.')
@minValue(10)
param rateLimitPerMinute int

@description('Required. The endpoint for new sessions.')
param sharedEndpointName string

@description('Required. The endpoints of all regions, deployed now or not: the firewall covers every one.')
param regionEndpointNames string[]

@description('Required. The custom domain for new sessions; empty: none.')
param sharedDomain string

@description('Required. The custom domains of all regions, in the order of their endpoints; empty: none.')
param regionDomains string[]

@description('Required. The name of the group of people who hear of alerts.')
param actionGroupName string

@description('Required. Their addresses.')
param emails string[]

@description('Required. The regions that are deployed now: the endpoint of each, its host, its share of new sessions.')
param regions originType[]

type originType = {
  @description('Letters and digits that stand for the region.')
  code: string
  @description('The endpoint of the region.')
  endpointName: string
  @description('The host name of its app.')
  hostName: string
  @description('The custom domain of the region; empty: none.')
  domain: string
  @description('Its share of new sessions, 1 to 1000.')
  weight: int
}

func domainId(profileId string, domain string) string =>
  '${profileId}/customDomains/${replace(domain, '.', '-')}'

var loadBalancing = {
  sampleSize: 4
  successfulSamplesRequired: 3
  additionalLatencyInMilliseconds: 50
}

resource profile 'Microsoft.Cdn/profiles@2025-06-01' existing = {
  name: profileName

  resource sharedEndpoint 'afdEndpoints' existing = {
    name: sharedEndpointName
  }
}

resource regionEndpoint 'Microsoft.Cdn/profiles/afdEndpoints@2025-06-01' existing = [
  for region in regions: {
    parent: profile
    name: region.endpointName
  }
]

resource allRegions 'Microsoft.Cdn/profiles/originGroups@2025-06-01' = {
  parent: profile
  name: 'all-regions'
  properties: {
    healthProbeSettings: length(regionEndpointNames) == 1
      ? null
      : {
          probePath: '/api/health'
          probeProtocol: 'Https'
          // The default is HEAD, to which the functions answer 404.
          probeRequestType: 'GET'
          // Each of some hundred places probes each region. It takes two intervals until a region that is down gets no calls.
          probeIntervalInSeconds: 120
        }
    loadBalancingSettings: loadBalancing
    sessionAffinityState: 'Disabled'
  }
}

resource allRegions_origin 'Microsoft.Cdn/profiles/originGroups/origins@2025-06-01' = [
  for region in regions: {
    parent: allRegions
    name: region.code
    properties: {
      hostName: region.hostName
      originHostHeader: region.hostName
      enforceCertificateNameCheck: true
      httpsPort: 443
      priority: 1
      weight: region.weight
      enabledState: 'Enabled'
    }
  }
]

resource oneRegion 'Microsoft.Cdn/profiles/originGroups@2025-06-01' = [
  for region in regions: {
    parent: profile
    name: 'region-${region.code}'
    // Without another origin, a probe changes nothing.
    properties: {
      loadBalancingSettings: loadBalancing
      sessionAffinityState: 'Disabled'
    }
  }
]

resource oneRegion_origin 'Microsoft.Cdn/profiles/originGroups/origins@2025-06-01' = [
  for (region, i) in regions: {
    parent: oneRegion[i]
    name: region.code
    properties: {
      hostName: region.hostName
      originHostHeader: region.hostName
      enforceCertificateNameCheck: true
      httpsPort: 443
      priority: 1
      weight: 1000
      enabledState: 'Enabled'
    }
  }
]

// This route is for new sessions alone: a result is read in the region that created the session.
resource sharedRoute 'Microsoft.Cdn/profiles/afdEndpoints/routes@2025-06-01' = {
  parent: profile::sharedEndpoint
  name: 'new-sessions'
  properties: {
    customDomains: empty(sharedDomain) ? [] : [{ id: domainId(profile.id, sharedDomain) }]
    originGroup: { id: allRegions.id }
    patternsToMatch: ['/api/sessions', '/api/health']
    supportedProtocols: ['Https']
    httpsRedirect: 'Disabled'
    forwardingProtocol: 'HttpsOnly'
    linkToDefaultDomain: 'Enabled'
    enabledState: 'Enabled'
  }
  dependsOn: [allRegions_origin]
}

resource regionRoute 'Microsoft.Cdn/profiles/afdEndpoints/routes@2025-06-01' = [
  for (region, i) in regions: {
    parent: regionEndpoint[i]
    name: 'region-${region.code}'
    properties: {
      customDomains: empty(region.domain) ? [] : [{ id: domainId(profile.id, region.domain) }]
      originGroup: { id: oneRegion[i].id }
      patternsToMatch: ['/api/*']
      supportedProtocols: ['Https']
      httpsRedirect: 'Disabled'
      forwardingProtocol: 'HttpsOnly'
      linkToDefaultDomain: 'Enabled'
      enabledState: 'Enabled'
    }
    dependsOn: [oneRegion_origin[i]]
  }
]

resource firewall 'Microsoft.Network/FrontDoorWebApplicationFirewallPolicies@2025-11-01' = {
  name: firewallName
  location: 'global'
  tags: tags
  sku: { name: '${tier}_AzureFrontDoor' }
  properties: {
    policySettings: {
      enabledState: 'Enabled'
      mode: 'Prevention'
      requestBodyCheck: 'Enabled'
      logScrubbing: {
        state: 'Enabled'
        scrubbingRules: [
          { matchVariable: 'RequestIPAddress', selectorMatchOperator: 'EqualsAny', state: 'Enabled' }
          { matchVariable: 'RequestUri', selectorMatchOperator: 'EqualsAny', state: 'Enabled' }
        ]
      }
    }
    customRules: {
      rules: [
        {
          name: 'OtherMethods'
          priority: 10
          enabledState: 'Enabled'
          ruleType: 'MatchRule'
          action: 'Block'
          matchConditions: [
            {
              matchVariable: 'RequestMethod'
              operator: 'Equal'
              negateCondition: true
              matchValue: ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS']
            }
          ]
        }
        {
          name: 'RateLimit'
          priority: 20
          enabledState: 'Enabled'
          ruleType: 'RateLimitRule'
          action: 'Block'
          rateLimitDurationInMinutes: 1
          rateLimitThreshold: rateLimitPerMinute
          // The address of the peer. The other variable trusts X-Forwarded-For, which a caller can write.
          groupBy: [{ variableName: 'SocketAddr' }]
          matchConditions: [
            // Each request: the host also takes `/API/` and `/%61pi/` for `/api/`.
            // https://learn.microsoft.com/azure/web-application-firewall/afds/waf-front-door-rate-limit-configure
            {
              matchVariable: 'RequestHeader'
              selector: 'Host'
              operator: 'GreaterThanOrEqual'
              matchValue: ['0']
            }
          ]
        }
      ]
    }
    managedRules: {
      managedRuleSets: tier == 'Standard'
        ? []
        : [
            { ruleSetType: 'Microsoft_DefaultRuleSet', ruleSetVersion: '2.1', ruleSetAction: 'Block' }
            { ruleSetType: 'Microsoft_BotManagerRuleSet', ruleSetVersion: '1.1' }
          ]
    }
  }
}

resource protection 'Microsoft.Cdn/profiles/securityPolicies@2025-06-01' = {
  parent: profile
  name: 'firewall'
  properties: {
    parameters: {
      type: 'WebApplicationFirewall'
      wafPolicy: { id: firewall.id }
      associations: [
        {
          patternsToMatch: ['/*']
          domains: concat(
            map(concat([sharedEndpointName], regionEndpointNames), endpointName => {
              id: resourceId('Microsoft.Cdn/profiles/afdEndpoints', profileName, endpointName)
            }),
            map(filter(concat([sharedDomain], regionDomains), domain => !empty(domain)), domain => {
              id: domainId(profile.id, domain)
            })
          )
        }
      ]
    }
  }
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

// Front Door counts only probes, and one region alone is not probed.
resource originHealth 'Microsoft.Insights/metricAlerts@2026-01-01' = if (length(regionEndpointNames) > 1) {
  name: 'origin-health'
  location: 'global'
  tags: tags
  properties: {
    description: 'Front Door does not reach a region. docs/operations.md says what to do.'
    severity: 1
    enabled: true
    scopes: [profile.id]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'origin-health'
          metricName: 'OriginHealthPercentage'
          dimensions: [{ name: 'Origin', operator: 'Include', values: ['*'] }]
          timeAggregation: 'Average'
          operator: 'LessThan'
          threshold: 50
        }
      ]
    }
    actions: [{ actionGroupId: actionGroup.id }]
  }
}
