-- The trace of the request that wrote an event; null without tracing. See lib/trace-context.ts.
alter table events add column trace text;
alter table pending_events add column trace text;
