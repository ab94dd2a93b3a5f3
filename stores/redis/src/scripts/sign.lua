-- The attempt runs: it is released, interrupted, or its lease starts anew. Anything else is returned as it is, and when.
-- For all keys: what, `release`, `interrupt` or `renew`; the lease in microseconds. For each: the attempt.
local what, lease, now = argv[1], argv[2], now()
local function stamp(at)
  return at < 9007199254740992 and pack('>I8', at) or never
end
-- Each:
  found = found or call('GET', key)
  if found and sub(found, 1, 2) == '\1\0' and sub(found, 5, 20) == argv[last + 1] and unpacked('>I8', found, 93) > now then
    local ttl = unpacked('>I8', found, 61)
    local reject = byte(found, 4) % 2 == 1
    local expires, changed
    if what == 'renew' then
      expires = now + lease + ttl
      if reject then expires = math.huge end
      changed = sub(found, 1, 52) .. stamp(now + lease) .. sub(found, 61, 92)
    elseif what == 'release' then
      expires = now + ttl
      changed = '\1\1' .. sub(found, 3, 84) .. stamp(now)
    else
      expires = now + ttl
      if reject then expires = math.huge end
      local unended = math.min(unpacked('>I4', found, 25) + 1, 4294967295)
      changed = '\1\2' .. sub(found, 3, 24) .. pack('>I4', unended) .. sub(found, 29, 84) .. stamp(now)
    end
    changed = changed .. stamp(expires) .. sub(found, 101)
    if expires < 9007199254740992 then
      call('SET', key, changed, 'PX', math.max(math.ceil((expires - now) / 1000), 1))
    else
      call('SET', key, changed)
    end
    if what ~= 'renew' then
      ended[#ended + 1] = key
    end
    answer = now
  else
    answer = {found, now}
  end
