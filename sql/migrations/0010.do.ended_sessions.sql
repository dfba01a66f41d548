-- A node that starts asks which sessions ended lately: without this it reads the whole log.
create index events_ended_sessions on events (at) where kind = 'session.ended';
