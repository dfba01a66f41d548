-- The jobs that one node at a time runs, in steps. The node locks the row of a job during a step; the others skip it.
create table jobs (
  name text primary key,
  due_at timestamptz not null default now(),
  -- where the next step begins; null at the beginning of the job
  cursor text
);
