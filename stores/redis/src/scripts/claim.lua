-- Nothing is there: the attempt runs. Anything else is returned as it is, and when.
-- KEYS: the record. ARGV: 1 the record's front, 2 its ttl, 3 its back, 4 the lease and 5 the retention in
-- microseconds (0: for ever), 6 the retention in milliseconds.
local found = redis.call('GET', KEYS[1])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if found then
  return {found, now}
end
local at = struct.pack('>I8', now)
local never = '\255\255\255\255\255\255\255\255'
local lease, expires = now + ARGV[4], now + ARGV[5]
lease = lease < 9007199254740992 and struct.pack('>I8', lease) or never
if ARGV[5] == '0' then
  redis.call('SET', KEYS[1], ARGV[1] .. at .. at .. '\0\0\0\0\0\0\0\0' .. lease .. ARGV[2] .. at .. at .. never .. never .. ARGV[3])
else
  expires = struct.pack('>I8', expires)
  redis.call('SET', KEYS[1], ARGV[1] .. at .. at .. '\0\0\0\0\0\0\0\0' .. lease .. ARGV[2] .. at .. at .. never .. expires .. ARGV[3], 'PX', ARGV[6])
end
return now
