-- Each look at the outbox also tells of dropped callbacks that no event told of yet, and forgets destinations that are owed nothing.
CREATE INDEX outbox_destinations_untold ON outbox_destinations(told_at) WHERE dropped > 0;
CREATE INDEX outbox_destinations_idle ON outbox_destinations(told_at) WHERE pending <= 0;
