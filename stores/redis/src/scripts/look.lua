-- The record as it is, and when.
-- Each:
  answer = {found or call('GET', key), now()}
