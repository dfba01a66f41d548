-- The functions for the order of a list. Items are sorted by position, a double, and then by id. A place is a position
-- together with an id. An anchor is the item below which another item is placed. The anchor null means the top of the
-- list.

-- Returns the last place of a deleted item, null for an item that the list never contained, and for the top of the list
-- a place above every item.
create or replace function place_of(list uuid, anchor uuid, out place double precision, out place_id uuid)
language plpgsql stable
as $$
begin
  place_id := coalesce(anchor, '00000000-0000-0000-0000-000000000000');
  place := case
    when anchor is null then '-infinity'
    else coalesce(
      (select position from checklist_items where id = anchor and checklist_id = list),
      (select position from deleted_items where id = anchor and checklist_id = list)
    )
  end;
end
$$;

-- Returns the place of the first item below a place, without the item `mover`.
create or replace function next_below(
  list uuid, above double precision, above_id uuid, mover uuid, out place double precision, out place_id uuid
)
language plpgsql stable
as $$
begin
  select position, id into place, place_id
  from checklist_items
  where checklist_id = list
  and (position, id) > (above, above_id)
  and id is distinct from mover
  order by position, id
  limit 1;
end
$$;

-- Returns positions for `many` consecutive items below an anchor: the first position, and the step from each item to
-- the next. Returns nulls when the anchor is unknown. `mover` is an item that moves, which is not its own neighbour.
--
-- If every insert halved the gap, about 45 inserts at one place would use it up. When the gaps on one side are smaller,
-- earlier inserts were made there: the next item is placed near that side, at 1/64 of the gap. In this way 1,000
-- inserts move no other item. make_room widens a gap that is used up.
create or replace function place_below(
  list uuid, anchor uuid, many integer, mover uuid default null,
  out start double precision, out step double precision
)
language plpgsql
as $$
declare
  -- Above `largest`, neighbouring doubles are too far apart to divide a gap. Below `smallest`, a gap is too small to be
  -- divided.
  largest constant double precision := 1e15;
  smallest constant double precision := 1e-200;
  low record;
  high record;
  above double precision;
  gap double precision;
  gap_above double precision;
  gap_below double precision;
  last double precision;
begin
  for attempt in 1..2 loop
    low := place_of(list, anchor);
    if low.place is null then
      return;
    end if;
    high := next_below(list, low.place, low.place_id, mover);

    if high.place_id is null then
      step := 1024;
      start := case when anchor is null then 0 else low.place end + step;
    elsif anchor is null then
      step := 1024;
      start := high.place - step * many;
    elsif greatest(abs(low.place), abs(high.place)) > largest or high.place - low.place < smallest then
      step := 0;
      start := low.place;
    else
      gap := high.place - low.place;
      select position into above
      from checklist_items
      where checklist_id = list and (position, id) < (low.place, low.place_id) and id is distinct from mover
      order by position desc, id desc
      limit 1;
      gap_above := coalesce(low.place - above, 'infinity');
      gap_below := coalesce((next_below(list, high.place, high.place_id, mover)).place - high.place, 'infinity');
      step := case when gap_above = gap_below then gap / (many + 1) else gap / 64 / many end;
      start := case when gap_below < gap_above then high.place - step * many else low.place + step end;
    end if;

    last := start + step * (many - 1);
    -- At four times the distance of two neighbouring doubles or more, all new positions are different.
    exit when step > greatest(abs(start), abs(last), smallest) * 2 ^ -50
      and greatest(abs(start), abs(last)) <= largest
      and start > low.place
      and (last < high.place) is not false;
    perform make_room(list, low.place, low.place_id);
  end loop;
end
$$;

-- Widens the gap below a place. Spreads the items around the place, including deleted ones, evenly over the range of
-- their positions. Begins with 16 items on each side. As long as the gaps are too small, tries again with four times as
-- many items, so that an insert moves few items and writes few events. Source: Itai, Konheim and Rodeh, "A sparse table
-- implementation of priority queues" (1981).
create or replace function make_room(list uuid, place double precision, place_id uuid) returns void
language plpgsql
as $$
declare
  width integer := 16;
  ids uuid[];
  low double precision;
  high double precision;
  step double precision;
  largest double precision;
begin
  loop
    with everything as (
      select id, position from checklist_items where checklist_id = list
      union all
      select id, position from deleted_items where checklist_id = list
    ),
    near as (
      (
        select id, position, row_number() over (order by position desc, id desc) > width as is_edge
        from everything
        where (position, id) <= (place, place_id)
        order by position desc, id desc
        limit width + 1
      )
      union all
      (
        select id, position, row_number() over (order by position, id) > width as is_edge
        from everything
        where (position, id) > (place, place_id)
        order by position, id
        limit width + 1
      )
    )
    select
      array_agg(id order by position, id) filter (where not is_edge),
      max(position) filter (where is_edge and (position, id) <= (place, place_id)),
      min(position) filter (where is_edge and (position, id) > (place, place_id))
    into ids, low, high
    from near;

    largest := greatest(abs(low), abs(high));
    -- A quotient of smaller positions, which only SQL can set, would underflow: that is an error.
    if largest > 1e15 or high - low < 1e-200 then
      step := 0;
    elsif low is null or high is null then
      step := 1024;
    else
      step := (high - low) / (cardinality(ids) + 1);
    end if;
    -- The gaps are wide enough when each contains about 2 ^ 20 doubles. `largest` is null when the range is the whole
    -- list, whose positions then start at 0.
    exit when step * 2 ^ 30 > largest or largest is null;
    width := width * 4;
  end loop;

  low := coalesce(low, high - step * (cardinality(ids) + 1), 0);
  update deleted_items set position = low + step * n
  from unnest(ids) with ordinality as spread (id, n)
  where deleted_items.id = spread.id;
  update checklist_items set position = low + step * n
  from unnest(ids) with ordinality as spread (id, n)
  where checklist_items.id = spread.id and position <> low + step * n;
end
$$;
