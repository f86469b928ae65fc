metadata description = 'One region: one resource group, one boundary for failures and for data. It shares nothing with another.'

import { brokerType, easyAuthType, monitoringType, regionType } from 'types.bicep'
import { hasZones } from 'checks.bicep'
import { stampNames } from 'names.bicep'

@description('Required. The environment that the region belongs to.')
param environmentName string

@description('Required. The region.')
param region regionType

@description('Required. Tags of all resources.')
param tags resourceInput<'Microsoft.Resources/resourceGroups@2025-04-01'>.tags

@description('Required. Part of the names.')
param nameSalt string

@description('Required. The Python version.')
param pythonVersion ('3.11' | '3.12' | '3.13')

@description('Required. How the broker behaves.')
param broker brokerType

@description('Optional. Easy Auth in front of the app.')
param easyAuth easyAuthType?

@description('Optional. The address ranges that packages may be published from; none: all.')
param publishFrom string[]?

@description('Required. Logs and alerts.')
param monitoring monitoringType

@description('Required. Whether storage, vault and topic are reached through private endpoints alone.')
param isolated bool

@description('Required. Whether the vault cannot be purged before its time.')
param purgeProtection bool

@description('Required. Whether to bring back a deleted Face account.')
param restoreFace bool

@description('Required. Whether to make the example of a subscription.')
param exampleSubscription bool

@description('Required. The service of azure.yaml that azd deploys here; empty where azd is not used.')
param azdServiceName string

@description('Required. Whether Front Door alone may call the app.')
param behindFrontDoor bool

@description('Optional. The id of that Front Door.')
param frontDoorId string = ''

@description('Optional. The host name that phones reach this region at through it.')
param frontDoorHostName string = ''

var names = stampNames(subscription().subscriptionId, environmentName, region.code, nameSalt)
var faceTakesKeys = (broker.?faceAuth ?? 'key') == 'key'
var faceSku = region.?faceSku ?? 'S0'
var zoneRedundant = region.?zoneRedundant ?? false
// Empty: the app's own host name.
var publicBaseUrl = contains(region, 'publicBaseUrl')
  ? region.publicBaseUrl!
  : contains(region, 'domain')
      ? 'https://${region.domain!}'
      : behindFrontDoor ? 'https://${frontDoorHostName}' : ''

module identity 'modules/identity.bicep' = {
  params: {
    name: names.identity
    location: region.name
    tags: tags
  }
}

module logs 'modules/monitoring.bicep' = {
  params: {
    workspaceName: names.workspace
    auditWorkspaceName: names.auditWorkspace
    applicationInsightsName: names.applicationInsights
    location: region.name
    tags: tags
    retentionInDays: monitoring.?retentionInDays ?? 30
    dailyQuotaGb: monitoring.?dailyQuotaGb ?? 1
  }
}

module storage 'modules/storage.bicep' = {
  params: {
    name: names.storageAccount
    location: region.name
    tags: tags
    sku: region.?storageSku ?? (hasZones(region.name) ? 'Standard_ZRS' : 'Standard_LRS')
    isolated: isolated
    deadLetterRetentionDays: broker.?recordRetentionDays ?? 30
    workspaceName: names.auditWorkspace
  }
  dependsOn: [logs]
}

module keyVault 'modules/key-vault.bicep' = {
  params: {
    name: names.keyVault
    location: region.name
    tags: tags
    purgeProtection: purgeProtection
    isolated: isolated
    workspaceName: names.auditWorkspace
  }
  dependsOn: [logs]
}

module face 'modules/face.bicep' = {
  params: {
    name: names.face
    location: region.?faceLocation ?? region.name
    tags: tags
    sku: faceSku
    takesKeys: faceTakesKeys
    restore: restoreFace
  }
}

module topic 'modules/event-topic.bicep' = {
  params: {
    name: names.topic
    location: region.name
    tags: tags
    isolated: isolated
    workspaceName: names.workspace
  }
  dependsOn: [logs]
}

module secrets 'modules/secrets.bicep' = {
  params: {
    keyVaultName: names.keyVault
    faceName: names.face
    faceTakesKeys: faceTakesKeys
    activeFaceKey: broker.?activeFaceKey ?? 'key1'
  }
  dependsOn: [face, keyVault]
}

module roles 'modules/roles.bicep' = {
  params: {
    appPrincipalId: identity.outputs.principalId
    topicPrincipalId: topic.outputs.principalId
    storageAccountName: names.storageAccount
    keyVaultName: names.keyVault
    faceName: names.face
    callsFaceAsItself: !faceTakesKeys
    topicName: names.topic
    applicationInsightsName: names.applicationInsights
  }
  dependsOn: [face, keyVault, storage]
}

module network 'modules/network.bicep' = if (isolated) {
  params: {
    name: names.network
    location: region.name
    tags: tags
    storageAccountName: names.storageAccount
    keyVaultName: names.keyVault
    topicName: names.topic
  }
  dependsOn: [keyVault, storage, topic]
}

module functionApp 'modules/function-app.bicep' = {
  params: {
    name: names.functionApp
    planName: names.plan
    location: region.name
    tags: union(tags, empty(azdServiceName) ? {} : { 'azd-service-name': azdServiceName })
    pythonVersion: pythonVersion
    alwaysReadyInstances: max(region.?alwaysReadyInstances ?? 0, zoneRedundant ? 2 : 0)
    zoneRedundant: zoneRedundant
    identityName: names.identity
    storageAccountName: names.storageAccount
    keyVaultUri: keyVault.outputs.uri
    faceEndpoint: face.outputs.endpoint
    topicEndpoint: topic.outputs.endpoint
    applicationInsightsConnectionString: logs.outputs.connectionString
    subnetResourceId: isolated ? network!.outputs.appSubnetResourceId : null
    broker: broker
    faceSku: faceSku
    behindFrontDoor: behindFrontDoor
    frontDoorId: frontDoorId
    publicBaseUrl: publicBaseUrl
    publishFrom: publishFrom
    easyAuth: easyAuth
  }
  dependsOn: [roles, secrets, storage]
}

module domain 'modules/custom-domain.bicep' = if (region.?domain != null && !behindFrontDoor) {
  params: {
    functionAppName: names.functionApp
    location: region.name
    tags: tags
    domain: region.?domain ?? ''
  }
  dependsOn: [functionApp]
}

module subscription_example 'modules/event-subscription.bicep' = if (exampleSubscription) {
  params: {
    topicName: names.topic
    storageAccountName: names.storageAccount
  }
  // The app takes minutes, in which the roles of the topic's identity reach the storage account.
  dependsOn: [functionApp, roles]
}

module alerts 'modules/alerts.bicep' = {
  params: {
    location: region.name
    tags: tags
    workspaceName: names.workspace
    auditWorkspaceName: names.auditWorkspace
    applicationInsightsName: names.applicationInsights
    dailyQuotaGb: monitoring.?dailyQuotaGb ?? 1
    topicName: names.topic
    appPrincipalId: identity.outputs.principalId
    publicUrl: behindFrontDoor || contains(region, 'publicBaseUrl') || contains(region, 'domain')
      ? publicBaseUrl
      : 'https://${functionApp.outputs.hostName}'
    actionGroupName: names.actionGroup
    emails: monitoring.?alertEmails ?? []
    budget: monitoring.?budget
  }
}

module workbook 'modules/workbook.bicep' = {
  params: {
    location: region.name
    tags: tags
    workspaceName: names.workspace
  }
  dependsOn: [logs]
}

@description('The name of the app, to publish the package to.')
output functionAppName string = names.functionApp

@description('The host name of the app itself.')
output hostName string = functionApp.outputs.hostName

@description('The value of the TXT record that proves whose a custom domain of the app is.')
output domainVerificationId string = functionApp.outputs.domainVerificationId
