"""The device registry with control state and outbox: SQLite (embedded) or DynamoDB, behind one interface."""
