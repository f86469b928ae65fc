"""The adapter for Azure Table Storage, imported by `shared.storage.azure_table` when it is called."""
