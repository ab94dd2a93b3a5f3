-- The attempt runs, with this function and digest: it is done. Anything else is returned as it is, and when.
-- For all keys: the length of the digest, the retention in milliseconds (0: for ever). For each: `said` is the attempt (16
-- bytes), the lengths of digest, result and function as they were claimed (6 each), the kind of the result (1), the ttl (8),
-- the result's length (6); `same` digest and function.
local digest, retention = 142 + ARGV[1], ARGV[2]
local moments
local function each(key, found, said, same, result)
  local now = now()
  found = found or call('GET', key)
  if not (found and sub(found, 1, 2) == '\1\0' and sub(found, 5, 20) == sub(said, 1, 16)
      and sub(found, 101, 118) == sub(said, 17, 34) and sub(found, 143, 142 + #same) == same
      and unpacked('>I8', found, 93) > now) then
    return {found, now}
  end
  moments = moments or pack('>I8', now) .. (retention == '0' and never or pack('>I8', now + retention * 1000))
  local done = '\1\3' .. sub(said, 35, 35) .. sub(found, 4, 60) .. sub(said, 36, 43) .. sub(found, 69, 84)
    .. moments .. sub(found, 101, 106) .. sub(said, 44, 49) .. sub(found, 113, digest)
    .. result .. sub(found, digest + 1)
  if retention == '0' then
    call('SET', key, done)
  else
    call('SET', key, done, 'PX', retention)
  end
  ended[#ended + 1] = key
  return now
end
