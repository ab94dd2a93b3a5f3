-- What was found is still there: it is replaced. Anything else is returned as it is, and when.
-- `before` is the head that was found (empty: nothing); the `head` or the `whole` is replaced, or it is `gone`, by `after`;
-- the retention is in milliseconds (0: for ever); `tell` is `1` where those who wait are told.
local function each(key, found, before, what, after, retention, tell)
  local now = now()
  found = found or call('GET', key)
  if sub(found or '', 1, 142) ~= before then
    return {found, now}
  end
  if what == 'gone' then
    call('DEL', key)
  else
    if what == 'head' then
      after = after .. sub(found, 143)
    end
    if retention == '0' then
      call('SET', key, after)
    else
      call('SET', key, after, 'PX', retention)
    end
  end
  if tell == '1' then
    ended[#ended + 1] = key
  end
  return now
end
