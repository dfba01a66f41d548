-- The three-way rules: the live value of a field against the one that the client started from (`base`) and the one that
-- it wants.

-- Returns what becomes of an edit of a text or title: `noop`, `applied`, `merged` or `conflict`, or null when the node
-- has to merge the words first (see operations.sql).
create or replace function decide_text(live jsonb, base jsonb, wanted jsonb, merge jsonb) returns text
language sql immutable
as $$
  select case
    when live = wanted or base = wanted then 'noop'
    when live = base then 'applied'
    when merge -> 'live' is distinct from live then null
    when merge -> 'value' = 'null' then 'conflict'
    when merge -> 'value' = live then 'noop'
    else 'merged'
  end
$$;

-- Returns what becomes of an edit of a date, which cannot be merged: `noop`, `applied` or `conflict`.
create or replace function decide_day(live jsonb, base jsonb, wanted jsonb) returns text
language sql immutable
as $$
  select case
    when live = wanted or base = wanted then 'noop'
    when live = base then 'applied'
    else 'conflict'
  end
$$;
