"""The adapter for Azure Table Storage; `shared.storage.account` imports it when it opens the tables."""
