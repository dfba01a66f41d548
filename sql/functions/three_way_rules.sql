-- The three-way rules. Each compares the live value of a field with the value from which the client started (`base`)
-- and the value that the client wants.

-- Returns null when the node must merge the texts first (see operations.sql).
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

create or replace function decide_day(live jsonb, base jsonb, wanted jsonb) returns text
language sql immutable
as $$
  select case
    when live = wanted or base = wanted then 'noop'
    when live = base then 'applied'
    else 'conflict'
  end
$$;
