alter table functions_applied
  -- the release that applied the functions, such as {0,1,0}; an older release does not replace them
  add column release integer[],
  -- A service runs on a newer schema than it knows if it knows at least this version. A file that removes or renames
  -- what older releases use raises it.
  add column needs_version integer not null default 4;
