-- What is looked for by time, in tables that may be long.

-- A node that starts asks which sessions ended lately.
create index events_ended_sessions on events (at) where kind = 'session.ended';

-- Rows come in order of time, and the oldest go: a summary of each range of pages is enough, and costs writers nothing.
create index operations_by_time on operations using brin (decided_at);
create index deleted_items_by_time on deleted_items using brin (deleted_at);
