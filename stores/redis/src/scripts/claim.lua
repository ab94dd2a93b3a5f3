-- Nothing is there: the attempt runs. Anything else is returned as it is, and when: but what is done, which the server
-- removes by itself when it expires, without the time.
-- KEYS: the record. ARGV: 1 the record without fence, generation, lease and moments, 2 the lease in microseconds, 3 the
-- retention in milliseconds (0: for ever).
local call = redis.call
local found = call('GET', KEYS[1])
if found and string.byte(found, 2) == 3 then
  return found
end
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
if found then
  return {found, now}
end
local record, retention = ARGV[1], ARGV[3] * 1000
local at, never = struct.pack('>I8', now), '\255\255\255\255\255\255\255\255'
local lease = now + ARGV[2]
lease = lease < 9007199254740992 and struct.pack('>I8', lease) or never
record = string.sub(record, 1, 28) .. at .. at .. '\0\0\0\0\0\0\0\0' .. lease .. string.sub(record, 29, 36) .. at .. at .. never
  .. (retention == 0 and never or struct.pack('>I8', now + retention)) .. string.sub(record, 37)
if retention == 0 then
  call('SET', KEYS[1], record)
else
  call('SET', KEYS[1], record, 'PX', ARGV[3])
end
return now
