metadata description = 'The vault of one region: read through roles alone, every reading logged.'

@description('Required. The name.')
@minLength(3)
@maxLength(24)
param name string

@description('Required. The region.')
param location string

@description('Required. Tags.')
param tags resourceInput<'Microsoft.KeyVault/vaults@2025-05-01'>.tags

@description('Required. Whether nobody can purge the vault before its time. It cannot be switched off again.')
param purgeProtection bool

@description('Required. Whether only private endpoints reach the secrets.')
param isolated bool

@description('Required. The workspace that readings are logged to.')
param workspaceName string

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' existing = {
  name: workspaceName
}

resource keyVault 'Microsoft.KeyVault/vaults@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enabledForDeployment: false
    enabledForDiskEncryption: false
    enabledForTemplateDeployment: false
    enableSoftDelete: true
    // It can never be changed.
    softDeleteRetentionInDays: 90
    // Azure accepts `true` or nothing.
    enablePurgeProtection: purgeProtection ? true : null
    publicNetworkAccess: isolated ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: isolated ? 'Deny' : 'Allow'
    }
  }
}

// The one stable version is of 2016.
#disable-next-line use-recent-api-versions
resource auditLog 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'workspace'
  scope: keyVault
  properties: {
    workspaceId: workspace.id
    logs: [
      { category: 'AuditEvent', enabled: true }
    ]
  }
}

@description('Where the app reads its secrets.')
output uri string = keyVault.properties.vaultUri
