-- The record as it is, and when.
local function each(key, found)
  return {found or call('GET', key), now()}
end
