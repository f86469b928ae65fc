metadata description = 'The app of one region on Flex Consumption, and its settings.'

import { isPublic } from '../checks.bicep'
import { brokerType, easyAuthType } from '../types.bicep'

@description('Required. The name; its first 32 characters are the id of the host.')
@maxLength(32)
param name string

@description('Required. The name of the plan, which holds this app alone.')
param planName string

@description('Required. The region.')
param location string

@description('Required. Tags.')
param tags resourceInput<'Microsoft.Web/sites@2025-03-01'>.tags

@description('Required. The Python version.')
param pythonVersion ('3.11' | '3.12' | '3.13')

@description('Required. Instances for HTTP that are kept warm.')
param alwaysReadyInstances int

@description('Required. Whether the instances are spread over zones.')
param zoneRedundant bool

@description('Required. The identity that the app runs as.')
param identityName string

@description('Required. The storage account.')
param storageAccountName string

@description('Required. Where the secrets are.')
param keyVaultUri string

@description('Required. Where Face is.')
param faceEndpoint string

@description('Required. Where events are published.')
param topicEndpoint string

@description('Required. Where telemetry goes.')
param applicationInsightsConnectionString string

@description('Optional. The subnet that the app calls out from; none: straight to the internet.')
param subnetResourceId string?

@description('Required. How the broker behaves.')
param broker brokerType

@description('Required. The tier of the Face account.')
param faceSku ('F0' | 'S0')

@description('Required. Whether Front Door alone may call the app.')
param behindFrontDoor bool

@description('Optional. The id of that Front Door.')
param frontDoorId string = ''

@description('Optional. What phones reach this region at; none: the name of the app.')
param publicBaseUrl string = ''

@description('Optional. The address ranges that packages may be published from; none: all.')
param publishFrom string[]?

@description('Optional. Easy Auth in front of the app.')
param easyAuth easyAuthType?

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource functionApp 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identity.id}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: subnetResourceId
    functionAppConfig: {
      runtime: { name: 'python', version: pythonVersion }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${account.properties.primaryEndpoints.blob}packages'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: 2048
        maximumInstanceCount: 40
        alwaysReady: alwaysReadyInstances == 0 ? [] : [{ name: 'http', instanceCount: alwaysReadyInstances }]
        // The default for Python is one request at a time on each instance.
        triggers: { http: { perInstanceConcurrency: 16 } }
      }
    }
    // Flex Consumption refuses ftpsState and linuxFxVersion here.
    siteConfig: {
      minTlsVersion: '1.2'
      http20Enabled: true
      // The app answers preflights itself, but Easy Auth may refuse them before. The platform's answer comes before Easy Auth
      // (https://github.com/Azure/azure-functions-host/issues/7316), and takes the place of the app's.
      cors: { allowedOrigins: easyAuth == null ? [] : (broker.?allowedOrigins ?? []) }
      scmIpSecurityRestrictionsUseMain: false
      scmIpSecurityRestrictionsDefaultAction: publishFrom == null ? 'Allow' : 'Deny'
      scmIpSecurityRestrictions: map(publishFrom ?? [], (addresses, i) => {
        name: 'publish-${i}'
        priority: 100 + i
        action: 'Allow'
        ipAddress: addresses
      })
      ipSecurityRestrictionsDefaultAction: behindFrontDoor ? 'Deny' : 'Allow'
      ipSecurityRestrictions: behindFrontDoor
        ? [
            {
              name: 'front-door'
              priority: 100
              action: 'Allow'
              tag: 'ServiceTag'
              ipAddress: 'AzureFrontDoor.Backend'
              headers: { 'x-azure-fdid': [frontDoorId] }
            }
            // Probes may come without the id of the profile. Whoever forges this header still meets the sign-in of the app.
            {
              name: 'front-door-probes'
              priority: 110
              action: 'Allow'
              tag: 'ServiceTag'
              ipAddress: 'AzureFrontDoor.Backend'
              headers: { 'x-fd-healthprobe': ['1'] }
            }
          ]
        : []
    }
  }

  // One child after another: App Service may answer 409 to a change while another one is under way.
  resource settings 'config' = {
    name: 'appsettings'
    properties: {
      // The host reads these.
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
      APPLICATIONINSIGHTS_CONNECTION_STRING: applicationInsightsConnectionString
      AzureWebJobsDisableHomepage: 'true'
      AzureWebJobsStorage__clientId: identity.properties.clientId
      AzureWebJobsStorage__credential: 'managedidentity'
      // With URIs an instance can fail to start: https://github.com/Azure/azure-functions-host/issues/11787. The name leads
      // to the public cloud, so that the others need URIs, and no name: with both an older extension takes the name.
      ...(isPublic(location)
        ? { AzureWebJobsStorage__accountName: account.name }
        : {
            AzureWebJobsStorage__blobServiceUri: account.properties.primaryEndpoints.blob
            AzureWebJobsStorage__queueServiceUri: account.properties.primaryEndpoints.queue
            AzureWebJobsStorage__tableServiceUri: account.properties.primaryEndpoints.table
          })
      FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: '65536'
      // shared/settings.py reads these; an empty one counts as not set.
      ABUSE_IS_FAILURE: (broker.?abuseIsFailure ?? true) ? 'true' : 'false'
      ALLOW_RESULTS_TO_CLIENT: (broker.?allowResultsToClient ?? false) ? 'true' : 'false'
      ALLOWED_ORIGINS: join(broker.?allowedOrigins ?? [], ',')
      AUTH_AUDIENCE: join(broker.?authAudience ?? [], ',')
      AUTH_ISSUER: join(broker.?authIssuer ?? [], ',')
      AUTH_SECRET_NAME: broker.?authSecretName ?? ''
      AUTH_TOKEN_TTL_MAX_SECONDS: string(broker.?authTokenTtlMaxSeconds ?? 86400)
      AZURE_CLIENT_ID: identity.properties.clientId
      BROKER_REGION: location
      CLIENT_ADDRESS: behindFrontDoor ? 'frontdoor' : 'appservice'
      CLIENT_AUTH: broker.clientAuth
      CLIENT_REFERENCE: broker.?clientReference ?? ''
      DELETE_AFTER_RESULT: (broker.?deleteAfterResult ?? true) ? 'true' : 'false'
      EVENT_GRID_TOPIC_ENDPOINT: topicEndpoint
      FACE_API_VERSION: broker.?faceApiVersion ?? 'v1.1-preview.1'
      FACE_AUTH: broker.?faceAuth ?? 'key'
      FACE_ENDPOINT: faceEndpoint
      // F0 takes 20 calls a minute. The app lets through two at once, and 18 in the rest of a minute.
      FACE_MAX_TPS: string(broker.?faceMaxTps ?? (faceSku == 'F0' ? '0.3' : '6'))
      FRONT_DOOR_ID: frontDoorId
      KEY_VAULT_URL: keyVaultUri
      PUBLIC_BASE_URL: publicBaseUrl
      RECORD_RETENTION_DAYS: string(broker.?recordRetentionDays ?? 30)
      REQUIRE_DIGEST: (broker.?requireDigest ?? false) ? 'true' : 'false'
      RESULT_VISIBILITY: broker.?resultVisibility ?? 'decision'
      THROTTLE_CLIENT: broker.?throttleClient ?? '60/10m'
      THROTTLE_DEVICE: broker.?throttleDevice ?? '5/10m, 20/d'
      THROTTLE_FAILURES: broker.?throttleFailures ?? '5/30m'
      THROTTLE_MISSES: broker.?throttleMisses ?? '60/10m'
      THROTTLE_MODE: broker.?throttleMode ?? 'enforce'
      THROTTLE_OVERRIDES: broker.?throttleOverrides ?? ''
      THROTTLE_PRINCIPAL: broker.?throttlePrincipal ?? '10/10m'
      THROTTLE_REFERENCE: broker.?throttleReference ?? '5/d'
      THROTTLE_RESULT: broker.?throttleResult ?? '1/s'
    }
  }

  // Written also where Easy Auth is off: if it were left out, an Easy Auth that was on would stay on.
  resource authentication 'config' = {
    name: 'authsettingsV2'
    properties: easyAuth == null
      ? { platform: { enabled: false } }
      : {
          platform: { enabled: true }
          globalValidation: {
            requireAuthentication: true
            unauthenticatedClientAction: 'Return401'
            excludedPaths: ['/api/health']
          }
          httpSettings: { requireHttps: true }
          identityProviders: {
            azureActiveDirectory: {
              enabled: true
              registration: {
                clientId: easyAuth!.clientId
                openIdIssuer: broker.authIssuer![0]
              }
              validation: {
                allowedAudiences: broker.authAudience!
                defaultAuthorizationPolicy: {
                  allowedApplications: easyAuth!.allowedApplications
                }
              }
            }
          }
          login: { tokenStore: { enabled: false } }
        }
    dependsOn: [settings]
  }

  // Packages are published with Entra tokens; passwords would be one more secret.
  resource ftpPassword 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
    dependsOn: [authentication]
  }

  resource scmPassword 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
    dependsOn: [ftpPassword]
  }
}

@description('The host name of the app.')
output hostName string = functionApp.properties.defaultHostName

@description('The value of the TXT record that proves whose a custom domain of the app is.')
output domainVerificationId string = functionApp.properties.customDomainVerificationId
