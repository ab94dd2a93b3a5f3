-- The attempt runs: it is released, interrupted, or its lease starts anew. Anything else is returned as it is, and when.
-- KEYS: the record. ARGV: 1 the attempt, 2 `release`, `interrupt` or `renew`, 3 the lease in microseconds.
local found = redis.call('GET', KEYS[1])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if not (found and string.sub(found, 1, 2) == '\1\0' and string.sub(found, 5, 20) == ARGV[1]
    and struct.unpack('>I8', found, 93) > now) then
  return {found, now}
end
local function moment(at)
  return at < 9007199254740992 and struct.pack('>I8', at) or '\255\255\255\255\255\255\255\255'
end
local ttl = struct.unpack('>I8', found, 61)
local reject = string.byte(found, 4) % 2 == 1
local expires, changed
if ARGV[2] == 'renew' then
  expires = now + ARGV[3] + ttl
  if reject then expires = math.huge end
  changed = string.sub(found, 1, 52) .. moment(now + ARGV[3]) .. string.sub(found, 61, 92)
elseif ARGV[2] == 'release' then
  expires = now + ttl
  changed = '\1\1' .. string.sub(found, 3, 84) .. moment(now)
else
  expires = now + ttl
  if reject then expires = math.huge end
  local unended = math.min(struct.unpack('>I4', found, 25) + 1, 4294967295)
  changed = '\1\2' .. string.sub(found, 3, 24) .. struct.pack('>I4', unended) .. string.sub(found, 29, 84) .. moment(now)
end
changed = changed .. moment(expires) .. string.sub(found, 101)
if expires < 9007199254740992 then
  redis.call('SET', KEYS[1], changed, 'PX', math.max(math.ceil((expires - now) / 1000), 1))
else
  redis.call('SET', KEYS[1], changed)
end
if ARGV[2] ~= 'renew' then
  redis.pcall('PUBLISH', KEYS[1], '')
end
return now
