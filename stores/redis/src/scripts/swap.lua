-- What was found is still there: it is replaced. Anything else is returned as it is, and when.
-- KEYS: the record. ARGV: 1 the head that was found (empty: nothing), 2 the `head` or the `whole` is replaced, or it is
-- `gone`, 3 by what, 4 the retention in milliseconds (0: for ever), 5 `1`: those who wait are told.
local found = redis.call('GET', KEYS[1])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if string.sub(found or '', 1, 142) ~= ARGV[1] then
  return {found, now}
end
if ARGV[2] == 'gone' then
  redis.call('DEL', KEYS[1])
else
  local changed = ARGV[3]
  if ARGV[2] == 'head' then
    changed = changed .. string.sub(found, 143)
  end
  if ARGV[4] == '0' then
    redis.call('SET', KEYS[1], changed)
  else
    redis.call('SET', KEYS[1], changed, 'PX', ARGV[4])
  end
end
if ARGV[5] == '1' then
  redis.pcall('PUBLISH', KEYS[1], '')
end
return now
