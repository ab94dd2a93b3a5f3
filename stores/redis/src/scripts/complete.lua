-- The attempt runs, with this function and digest: it is done. Anything else is returned as it is, and when.
-- KEYS: the record. ARGV: 1 the attempt, 2 the lengths of digest, result and function as they were claimed, 3 digest
-- and function, 4 the length of the digest, 5 the kind of the result, 6 the ttl, 7 the result's length, 8 the result,
-- 9 the retention in microseconds (0: for ever), 10 in milliseconds.
local found = redis.call('GET', KEYS[1])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if not (found and string.sub(found, 1, 2) == '\1\0' and string.sub(found, 5, 20) == ARGV[1]
    and string.sub(found, 101, 118) == ARGV[2] and string.sub(found, 143, 142 + #ARGV[3]) == ARGV[3]
    and struct.unpack('>I8', found, 93) > now) then
  return {found, now}
end
local digest = 142 + ARGV[4]
local expires = ARGV[9] == '0' and '\255\255\255\255\255\255\255\255' or struct.pack('>I8', now + ARGV[9])
local done = '\1\3' .. ARGV[5] .. string.sub(found, 4, 60) .. ARGV[6] .. string.sub(found, 69, 84)
  .. struct.pack('>I8', now) .. expires .. string.sub(found, 101, 106) .. ARGV[7] .. string.sub(found, 113, digest)
  .. ARGV[8] .. string.sub(found, digest + 1)
if ARGV[9] == '0' then
  redis.call('SET', KEYS[1], done)
else
  redis.call('SET', KEYS[1], done, 'PX', ARGV[10])
end
redis.pcall('PUBLISH', KEYS[1], '')
return now
