-- The attempt runs, with this function and digest: it is done. Anything else is returned as it is, and when.
-- KEYS: the record. ARGV: 1 the attempt (16 bytes), the lengths of digest, result and function as they were claimed (6
-- each), the kind of the result (1), the ttl (8), the result's length (6), 2 digest and function, 3 the length of the
-- digest, 4 the result, 5 the retention in milliseconds (0: for ever).
local call, sub = redis.call, string.sub
local found = call('GET', KEYS[1])
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local said, same = ARGV[1], ARGV[2]
if not (found and sub(found, 1, 2) == '\1\0' and sub(found, 5, 20) == sub(said, 1, 16)
    and sub(found, 101, 118) == sub(said, 17, 34) and sub(found, 143, 142 + #same) == same
    and struct.unpack('>I8', found, 93) > now) then
  return {found, now}
end
local digest, retention = 142 + ARGV[3], ARGV[5] * 1000
local expires = retention == 0 and '\255\255\255\255\255\255\255\255' or struct.pack('>I8', now + retention)
local done = '\1\3' .. sub(said, 35, 35) .. sub(found, 4, 60) .. sub(said, 36, 43) .. sub(found, 69, 84)
  .. struct.pack('>I8', now) .. expires .. sub(found, 101, 106) .. sub(said, 44, 49) .. sub(found, 113, digest)
  .. ARGV[4] .. sub(found, digest + 1)
if retention == 0 then
  call('SET', KEYS[1], done)
else
  call('SET', KEYS[1], done, 'PX', ARGV[5])
end
redis.pcall('PUBLISH', KEYS[1], '')
return now
