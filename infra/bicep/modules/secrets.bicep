metadata description = 'The two secrets of one region. Neither leaves this file: not as a parameter, not as an output.'

@description('Required. The vault.')
param keyVaultName string

@description('Required. The Face account.')
param faceName string

@description('Required. Whether the app calls Face with a key at all.')
param faceTakesKeys bool

@description('Required. Which of the two keys of the account is in use.')
param activeFaceKey ('key1' | 'key2')

@description('Optional. What ids are hashed with, and keys are derived from; made up by the deployment that first writes it.')
@secure()
param pepper string = '${newGuid()}${newGuid()}'

resource face 'Microsoft.CognitiveServices/accounts@2025-06-01' existing = {
  name: faceName
}

resource keyVault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: keyVaultName

  resource faceKey 'secrets' = if (faceTakesKeys) {
    name: 'face-key'
    properties: {
      // Azure may evaluate the value also where the condition is false, and an account without keys refuses to list them.
      value: faceTakesKeys ? (activeFaceKey == 'key1' ? face.listKeys().key1 : face.listKeys().key2) : ''
      contentType: 'Face subscription key'
    }
  }

  // With a new pepper every device would be a new device, without its limits, and no record could be read any more.
  @onlyIfNotExists()
  resource idPepper 'secrets' = {
    name: 'id-pepper'
    properties: {
      value: pepper
      contentType: 'Pepper of the hashes of ids'
    }
  }
}
